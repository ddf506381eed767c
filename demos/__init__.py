"""Browser demos: `build()` in the module of a page trains what it needs and returns the Gradio page.

That module may hold `LAUNCH`, further arguments of `gradio.Blocks.launch`, such as `css`. What a page is made
of stands in modules whose names begin with its own.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
