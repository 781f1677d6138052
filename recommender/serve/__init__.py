"""The recommender over HTTP: the extra [serve], FastAPI and uvicorn, which nothing else imports."""
