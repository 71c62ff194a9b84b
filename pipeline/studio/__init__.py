"""The studio: a local web page on which a person drags a photo."""
