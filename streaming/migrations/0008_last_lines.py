from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    dependencies = [
        ('streaming', '0007_lease'),
    ]

    operations = [
        migrations.CreateModel(
            name='LastLines',
            fields=[
                ('session', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='last_lines', serialize=False, to='streaming.streamsession')),
                ('messages', models.BinaryField()),
                ('kept', models.DateTimeField(db_index=True)),
            ],
        ),
    ]
