"""What a user does, as functions; the command line calls them, and so can you."""
