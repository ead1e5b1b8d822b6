"""The leaderboard: verification, ranking, pages, and the way to submit."""
