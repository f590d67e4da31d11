"""The control API's handlers, one module per subject; `gateway.web.admin` holds their table."""
