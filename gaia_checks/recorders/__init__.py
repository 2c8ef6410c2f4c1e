"""Look: what goes on in the background during a whole gate. One process, a timeline per look."""
