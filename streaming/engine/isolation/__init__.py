"""The process engine: a child process steps, a thread of the server supervises it."""
