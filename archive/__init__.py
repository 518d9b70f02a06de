"""Where sealed recordings are kept: storage, catalogue, retention, holds, and a journal."""
