"""What a viewer gets: messages, windows and the fan-out. Plain Python, as the engine is."""
