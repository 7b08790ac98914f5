"""Models asked about noisy rows: as few rows as the answer needs, none of them twice."""
