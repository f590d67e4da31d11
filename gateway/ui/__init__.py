"""The dashboard at `/-/ui/`: pages made on the server, forms, no script. It shows an actor only what it may read."""
