"""What is done to the photo's picture: reading, writing, moving, films."""
