"""The REST door: thin FastAPI over `lah_platform`. Start at `api.app.create_app`; `api.main` is what uvicorn runs."""
