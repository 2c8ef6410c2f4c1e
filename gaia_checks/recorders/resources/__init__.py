"""The recorders of memory, connections and restarts."""
