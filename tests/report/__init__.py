"""Tests of the evidence, the pages and the Allure report."""
