"""What people and machines are shown of a configuration: the resolver's record, and handlers."""
