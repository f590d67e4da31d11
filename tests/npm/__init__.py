"""Tests of the npm adapter."""
