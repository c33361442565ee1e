"""SQLAdmin with a login of its own; the line of its own is `note_user`, where it checks the session."""

import os

from fastapi import FastAPI
from sqladmin import Admin, ModelView
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tracker import UsageTrackingMiddleware


class Base(DeclarativeBase):
    """The tables."""


class Person(Base):
    """A row."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class PersonView(ModelView, model=Person):
    """Its pages."""

    column_list = (Person.id, Person.name)


class Login(AuthenticationBackend):
    """Signs in whoever knows the password."""

    async def login(self, request):
        """Whether the form is right."""
        form = await request.form()
        request.session["user"] = f"{form['username']}@example.com"
        return form["password"] == "pw"

    async def logout(self, request):
        """Forget the session."""
        request.session.clear()
        return True

    async def authenticate(self, request):
        """Whether somebody is signed in."""
        user = request.session.get("user")
        if "TRACKED" in os.environ:
            from tracker import note_user

            note_user(request, user)
        return user is not None


engine = create_engine("sqlite:///people.db")
Base.metadata.create_all(engine)
app = FastAPI()
Admin(app, engine, authentication_backend=Login(secret_key="a secret of the demonstration")).add_view(PersonView)
if "TRACKED" in os.environ:
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"])
