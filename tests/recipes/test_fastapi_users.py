"""fastapi-users, with SQLAlchemy: tokens and cookies of its own, whose subject is a UUID."""

import json
import uuid
from typing import Annotated
from urllib.parse import urlencode

import pytest

pytest.importorskip("fastapi_users")
pytest.importorskip("aiosqlite")

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, CookieTransport, JWTStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from starlette.requests import HTTPConnection

from tracker import UsageTrackingMiddleware, note_user

KEY = "a secret of the tests, 32 bytes or more"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("how", ["bearer", "cookie"])
def test_fastapi_users_needs_one_dependency_of_the_whole_app(how, database, drive, asking, rows):
    class Base(DeclarativeBase):
        pass

    class User(SQLAlchemyBaseUserTableUUID, Base):
        pass

    class UserCreate(schemas.BaseUserCreate):
        pass

    class UserRead(schemas.BaseUser[uuid.UUID]):
        pass

    class Manager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
        pass

    engine = create_async_engine(f"sqlite+aiosqlite:///{database.parent}/app.db")
    sessions = async_sessionmaker(engine)

    async def user_manager():
        async with sessions() as session:
            yield Manager(SQLAlchemyUserDatabase(session, User))

    transport = BearerTransport("login") if how == "bearer" else CookieTransport(cookie_secure=False)
    backend = AuthenticationBackend("it", transport, lambda: JWTStrategy(KEY, 60))
    users = FastAPIUsers[User, uuid.UUID](user_manager, [backend])

    async def tell_user(
        connection: HTTPConnection, user: Annotated[User | None, Depends(users.current_user(optional=True))]
    ):
        if user:
            note_user(connection, user)

    app = FastAPI(dependencies=[Depends(tell_user)])
    app.add_middleware(UsageTrackingMiddleware, database=database)
    app.include_router(users.get_auth_router(backend))
    app.include_router(users.get_register_router(UserRead, UserCreate))
    app.include_router(users.get_users_router(UserRead, UserCreate), prefix="/users")

    async def work(app):
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        body = json.dumps({"email": "king@example.com", "password": "guinevere"}).encode()
        await asking(app, "POST", "/register", headers={"content-type": "application/json"}, body=body)
        login = await asking(
            app,
            "POST",
            "/login",
            headers=FORM,
            body=urlencode(dict(username="king@example.com", password="guinevere")).encode(),
        )
        headers = (
            {"authorization": "Bearer " + json.loads(login.body)["access_token"]}
            if how == "bearer"
            else {"cookie": login.cookies()}
        )
        assert (await asking(app, "GET", "/users/me", headers=headers)).status == 200
        assert (await asking(app, "GET", f"/users/{uuid.uuid4()}", headers=headers)).status == 403
        assert (await asking(app, "GET", "/users/me")).status == 401
        await engine.dispose()

    drive(app, work)
    assert rows("user_email", "endpoint", "status_code") == [
        ("anonymous", "/register", 201),
        ("anonymous", "/login", 200 if how == "bearer" else 204),
        ("king@example.com", "/users/me", 200),
        ("king@example.com", "/users/{id}", 403),
        ("anonymous", "/users/me", 401),
    ]
