"""What the doors say, in English: it is translated where it is said."""

from guardian.core.language import marked

SIGN_IN = marked("Sign in")
LOOK = marked("Check your mail")
ELSEWHERE = marked("Type this code where you asked")
ANOTHER = marked("Mail me a link for this browser")
NOT_IN = marked("You are not signed in")
NO_WAY_IN = marked("Nobody can sign in here")
NO_ADDRESS = marked("This is not a mail address: write it as you@example.com.")
WRONG_CODE = marked("No link has this code, or it has expired: look again at the page of the newest link.")
BAD_LINK = marked("This link was cut short or is older than 15 minutes: ask for another.")
SPENT = marked("This link has been used or has expired: ask for another.")
FORWARDED = marked("Another link has already been mailed in place of this one: check your mail, or ask for a new one.")
TOO_OFTEN = marked("Too many links were asked for: wait %(time)s, or run 'guardian link' on Guardian's machine.")
PLAIN_HTTP = marked(
    "This page came over plain HTTP, where others on the way could read the cookie that signs you in. Put HTTPS in "
    "front of Guardian and set public_url to its address, or open it on its own machine: http://127.0.0.1."
)
PLAIN_HTTP_HERE = marked(
    "This page came over plain HTTP, where others on the way could read the cookie that signs you in. Open %(url)s."
)
