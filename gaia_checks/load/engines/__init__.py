"""What sends the requests: gevent inside locust, or uvloop in a process of its own."""
