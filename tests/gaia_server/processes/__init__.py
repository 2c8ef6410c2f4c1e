"""Server processes as a whole: killed, several at once, without their database."""
