"""Other people's files: read without running any of their code, and written for their tools."""
