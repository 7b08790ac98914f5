"""Files: tables in, whole or in pieces; results out, whole or not at all."""
