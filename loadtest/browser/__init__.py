"""Real browsers, driven by WebDriver BiDi, on the call page of a real server."""
