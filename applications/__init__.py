"""Applications: one folder a task, one file a paper, and the command line that runs them."""
