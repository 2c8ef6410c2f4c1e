"""Look: requests at fixed times, whatever the server does, and how long each took from when it was due."""
