"""Tables: readers make batches of what senders write, writers make files of batches. Pure; no I/O."""
