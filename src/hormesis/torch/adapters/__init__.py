"""Training noise in somebody else's loop: a plain one, Lightning, Hugging Face, timm. Import the module of your framework."""
