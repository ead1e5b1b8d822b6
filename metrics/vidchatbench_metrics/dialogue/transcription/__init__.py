"""From a reply to its words."""
