"""The HTTP side: application, routes, admin API, OpenAPI document."""
