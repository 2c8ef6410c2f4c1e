"""A fresh installation of the release, on a rehearsal copy: what may not be tried on a live target."""
