"""History of markets as files: downloaded, mended, resumed."""
