"""How an event reaches its sinks, and where what goes wrong there ends."""
