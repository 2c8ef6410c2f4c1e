"""The engines that send the requests: gevent inside locust, or uvloop in a separate process."""
