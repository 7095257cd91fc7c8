"""The pictures' colours in the dark: ink becomes light, paper dark, and what is coloured milder."""

IN_THE_DARK = {
    "#fff": "#10151d",
    "#f1f5f9": "#161d28",
    "#e2e8f0": "#334155",
    "#dbeafe": "#1e3a5f",
    "#7ea6f4": "#3f62b5",
    "#1d4ed8": "#7ea6f4",
    "#64748b": "#94a3b8",
    "#334155": "#cbd5e1",
    "#0f172a": "#e2e8f0",
    "#0f766e": "#5eead4",
    "#b45309": "#fbbf24",
}


def dark(*colours: str) -> str:
    """Return a style for the beginning of an SVG that shows these of its colours as in the dark.

    One that is not in the table stays. A viewer whose system is light, and a program that knows
    no styles, sees the picture as it is.
    """
    rules = "".join(
        f'[{paint}="{colour}"]{{{paint}:{IN_THE_DARK[colour]}}}'
        for colour in colours
        if colour in IN_THE_DARK
        for paint in ("fill", "stroke")
    )
    return f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
