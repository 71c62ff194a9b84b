"""The one downloader, for networks and for other people's weights: resumed, hashed, bounded."""
