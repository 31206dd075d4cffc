"""Self-attention and cross-attention of exchangeable tokens: values forward, errors backward."""
