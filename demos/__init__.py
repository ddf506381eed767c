"""Browser demos, one module a task: `build()` trains what it needs and returns the Gradio page.

A module may hold `LAUNCH`, further arguments of `gradio.Blocks.launch`, such as `css`.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
