"""What metric families share: geometry, networks and distances between sets."""
