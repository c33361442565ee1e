"""A Django project for the tests: pages, REST framework, simplejwt, and a middleware that answers by itself."""

# ruff: noqa: E402 (Django must be set up before its models are imported)

import django
from django.conf import settings

KEY = "a secret of the tests, 32 bytes or more"
settings.configure(
    SECRET_KEY=KEY,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",  # NiceGUI looks at every object of the process, also at Django's lazy site of it
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "rest_framework",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:recipe?mode=memory&cache=shared"}},
    MIDDLEWARE=[
        "tracker.django.RouteAndUser",
        f"{__name__}.maintenance",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication",
            "rest_framework.authentication.BasicAuthentication",
        ]
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import authenticate, login
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.utils.decorators import sync_and_async_middleware
from rest_framework import permissions, routers, views, viewsets
from rest_framework.response import Response
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.views import TokenObtainPairView

from tracker import note_user


def who(request, id):
    return JsonResponse({"id": id, "user": str(request.user)})


async def who_async(request):
    return JsonResponse({"user": str(await request.auser())})


def never_asks(request, *values, **named):
    return HttpResponse("fine")


def broken(request, what):
    raise KeyError("secret of a client")


def sign_in(request):
    login(request, authenticate(request, username="ann", password="pw"))
    return HttpResponse("in")


def says_it_itself(request):
    str(request.user)
    note_user(request, "key-7@example.com")
    return HttpResponse("noted")


async def stream(request):
    await request.auser()

    async def parts():
        yield b"a"
        yield b"b"

    return StreamingHttpResponse(parts())


class Threads(viewsets.ViewSet):
    permission_classes = (permissions.IsAuthenticated,)

    def list(self, request):
        return Response([])

    def retrieve(self, request, pk):
        return Response({"pk": pk})


class Stateless(views.APIView):
    authentication_classes = (JWTStatelessUserAuthentication,)
    permission_classes = (permissions.IsAuthenticated,)

    def get(self, request):
        return Response({"id": request.user.id})


router = routers.DefaultRouter()
router.register("threads", Threads, basename="thread")

urlpatterns = [
    path("who/<int:id>/", who),
    path("who-async/", who_async),
    path("never-asks/", never_asks),
    path("broken/<slug:what>/", broken),
    path("sign-in/", sign_in),
    path("noted/", says_it_itself),
    path("stream/", stream),
    path("api/", include(router.urls)),
    path("token/", TokenObtainPairView.as_view()),
    path("stateless/", Stateless.as_view()),
    re_path(r"^old/(?P<year>[0-9]{4})/(\w+)/$", never_asks),
]


@sync_and_async_middleware
def maintenance(get_response):
    from asgiref.sync import iscoroutinefunction

    def refused(request):
        return HttpResponse(status=503) if "HTTP_X_DOWN" in request.META else None

    if iscoroutinefunction(get_response):

        async def middleware(request):
            return refused(request) or await get_response(request)
    else:

        def middleware(request):
            return refused(request) or get_response(request)

    return middleware
