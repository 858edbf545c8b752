from django.db import models


class Order(models.Model):
    customer = models.CharField(max_length=40)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    paid = models.BooleanField(null=True)
    at = models.DateTimeField()
    day = models.DateField(null=True)

    class Meta:
        default_permissions = ("view", "export")


class Killed(Order):
    class Meta:
        proxy = True


class Behind(Order):
    class Meta:
        proxy = True


class Whole(Order):
    class Meta:
        proxy = True


class Odd(Order):
    class Meta:
        proxy = True
