"""What tests of several parts need: servers, databases, certificates, a place to gate on."""
