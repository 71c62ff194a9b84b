"""The studio's web server: who gets in, what can be asked, and what is sent."""
