from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("streaming", "0006_placement"),
    ]

    operations = [
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("incarnation", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("process", models.CharField(max_length=200)),
                ("renewed", models.DateTimeField()),
            ],
        ),
        migrations.AlterField(
            model_name="streamsession",
            name="heartbeat",
            field=models.DateTimeField(verbose_name="last written"),
        ),
    ]
