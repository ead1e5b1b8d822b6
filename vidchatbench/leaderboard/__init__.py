"""The leaderboard: bundles of results, their verification, the ranking, and the file that the page is made of."""
