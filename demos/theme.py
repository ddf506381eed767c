"""The look that all pages share."""

import gradio as gr

THEME = gr.themes.Default(
    primary_hue="indigo",
    spacing_size="sm",
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],  # none is fetched
    font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
).set(
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_text_color="white",
)
