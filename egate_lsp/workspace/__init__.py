"""Code of other files of the workspace: found, kept in an index, and chosen for a place; in a process of its own."""
