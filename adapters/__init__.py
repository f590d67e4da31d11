"""One package per ecosystem, each with the same four files: names, wire, routes and the value `ADAPTER`."""
