"""Files: probing, decoding, encoding, multiplexing, photos."""
