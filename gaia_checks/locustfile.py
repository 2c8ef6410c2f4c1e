"""Public API for locustfiles: a user who sends on time whatever the server does, its requests, and rules for a load.

from gaia_checks.locustfile import Mix, OpenLoopUser, Request
"""

from gaia_checks.load.locust_plugin.target_rules import API, Rules
from gaia_checks.load.locust_plugin.user import OpenLoopUser
from gaia_checks.load.plan.request_mix import Mix, Request

__all__ = ["API", "Mix", "OpenLoopUser", "Request", "Rules"]
