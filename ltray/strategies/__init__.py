"""How a search proposes settings and which trials it stops: samplers and stopping rules, each by its name."""
